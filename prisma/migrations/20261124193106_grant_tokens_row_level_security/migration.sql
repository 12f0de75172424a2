ALTER TABLE "grant_tokens" ENABLE ROW LEVEL SECURITY;
CREATE POLICY "of_linked" ON "grant_tokens" FOR SELECT USING (
  EXISTS (SELECT FROM "hosts" h WHERE h."grant_id" = "grant_tokens"."grant_id") OR EXISTS (SELECT FROM "organizations" o WHERE o."grant_id" = "grant_tokens"."grant_id"));

-- A version before this one reads tables under roles that now see nothing: it cannot run beside it.
INSERT INTO schema_compatibility VALUES ('20261124193106_grant_tokens_row_level_security', now());
