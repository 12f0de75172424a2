-- Shared by the tenants that link the grant, and by no other. Not forced: the owner's functions plan without it.
ALTER TABLE "grants" ENABLE ROW LEVEL SECURITY;
CREATE POLICY "of_linked" ON "grants" FOR SELECT USING (
  EXISTS (SELECT FROM "hosts" h WHERE h."grant_id" = "grants"."id") OR EXISTS (SELECT FROM "organizations" o WHERE o."grant_id" = "grants"."id"));
