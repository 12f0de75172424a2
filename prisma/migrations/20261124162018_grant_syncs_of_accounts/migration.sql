-- AlterTable
ALTER TABLE "grant_syncs" ADD COLUMN     "done_at" TIMESTAMPTZ(6),
ADD COLUMN     "users" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "users_listed_at" TIMESTAMPTZ(6),
ADD COLUMN     "users_waiting" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "users_wanted_at" TIMESTAMPTZ(6);

-- Below: what Prisma's schema language cannot say.

-- As before, and: what was found before the grant was linked anew says nothing of events that did not come.
CREATE OR REPLACE FUNCTION "file_grant_sync"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "grant_syncs" AS s ("grant_id", "due_at", "requested_at") VALUES (NEW."grant_id", clock_timestamp(), clock_timestamp())
  ON CONFLICT ("grant_id") DO UPDATE
     SET "due_at" = excluded."due_at", "requested_at" = excluded."requested_at", "done_at" = NULL,
         "status" = CASE s."status" WHEN 'running' THEN 'running' ELSE 'queued' END;
  RETURN NULL;
END $$;
