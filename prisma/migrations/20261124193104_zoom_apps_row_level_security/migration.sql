ALTER TABLE "zoom_apps" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "of_tenant" ON "zoom_apps" USING ("tenant_id" = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY "across_tenants" ON "zoom_apps" TO CURRENT_USER USING (current_setting('app.across_tenants', true) <> '');
-- An app of no tenant serves all of them; only the operator changes it.
CREATE POLICY "of_all" ON "zoom_apps" FOR SELECT USING ("tenant_id" IS NULL);
