-- Those that are linked already come one after the other over the next hours.
INSERT INTO "grant_syncs" ("grant_id", "due_at")
SELECT DISTINCT ON ("grant_id") "grant_id", now() + random() * interval '6 hours' FROM "hosts"
ON CONFLICT ("grant_id") DO NOTHING;
