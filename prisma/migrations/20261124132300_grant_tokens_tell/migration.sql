CREATE OR REPLACE TRIGGER "grant_tokens_tell" AFTER UPDATE ON "grant_tokens" FOR EACH ROW
  WHEN ((OLD."status", OLD."status_reason", OLD."consent_epoch") IS DISTINCT FROM (NEW."status", NEW."status_reason", NEW."consent_epoch"))
  EXECUTE FUNCTION "tell_of_grant"();
