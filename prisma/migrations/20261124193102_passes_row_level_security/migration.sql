ALTER TABLE "passes" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "of_tenant" ON "passes" USING ("tenant_id" = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY "across_tenants" ON "passes" TO CURRENT_USER USING (current_setting('app.across_tenants', true) <> '');
