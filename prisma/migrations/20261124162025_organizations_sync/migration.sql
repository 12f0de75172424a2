-- An account's users and their meetings are read as soon as it is linked, whichever way that came about.
CREATE TRIGGER "organizations_sync" AFTER INSERT ON "organizations" FOR EACH ROW EXECUTE FUNCTION "file_grant_sync"();
CREATE TRIGGER "organizations_sync_again" AFTER UPDATE OF "grant_id", "consent_epoch", "connected_at" ON "organizations" FOR EACH ROW
  EXECUTE FUNCTION "file_grant_sync"();

-- Nothing of an account stays that no organization links, nor of the account that an organization no longer stands for.
CREATE FUNCTION "leave_account"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM "account_users" u
   WHERE u."grant_id" = OLD."grant_id" AND NOT EXISTS (
     SELECT FROM "organizations" o JOIN "grant_tokens" k ON k."grant_id" = o."grant_id" AND k."consent_epoch" <= o."consent_epoch"
      WHERE o."grant_id" = OLD."grant_id");
  IF TG_OP = 'UPDATE' AND OLD."zoom_account_id" <> NEW."zoom_account_id" THEN
    DELETE FROM "meetings" m WHERE m."tenant_id" = NEW."tenant_id" AND m."organization_id" = NEW."id" AND m."source" <> 'api';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER "organizations_left" AFTER DELETE OR UPDATE OF "grant_id", "zoom_account_id" ON "organizations" FOR EACH ROW
  EXECUTE FUNCTION "leave_account"();

INSERT INTO "grant_syncs" ("grant_id", "due_at")
SELECT DISTINCT ON ("grant_id") "grant_id", now() + random() * interval '1 hour' FROM "organizations"
ON CONFLICT ("grant_id") DO NOTHING;
