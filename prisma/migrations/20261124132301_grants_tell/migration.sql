CREATE OR REPLACE TRIGGER "grants_tell" AFTER UPDATE OF "blocked_reason" ON "grants" FOR EACH ROW
  WHEN (OLD."blocked_reason" IS DISTINCT FROM NEW."blocked_reason")
  EXECUTE FUNCTION "tell_of_grant"();
