CREATE TRIGGER "hosts_sync" AFTER INSERT ON "hosts" FOR EACH ROW EXECUTE FUNCTION "file_grant_sync"();
CREATE TRIGGER "hosts_sync_again" AFTER UPDATE OF "grant_id", "consent_epoch", "connected_at" ON "hosts" FOR EACH ROW
  EXECUTE FUNCTION "file_grant_sync"();
