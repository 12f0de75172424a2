-- AlterTable
ALTER TABLE "grant_syncs" ADD COLUMN     "done_at" TIMESTAMPTZ(6),
ADD COLUMN     "users" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "users_listed_at" TIMESTAMPTZ(6),
ADD COLUMN     "users_waiting" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "users_wanted_at" TIMESTAMPTZ(6);

-- AlterTable
ALTER TABLE "zoom_apps" ADD COLUMN     "events_missed_at" TIMESTAMPTZ(6);

-- CreateTable
CREATE TABLE "account_users" (
    "grant_id" UUID NOT NULL,
    "zoom_user_id" TEXT NOT NULL,
    "has_pmi" BOOLEAN NOT NULL,
    "meetings" INTEGER NOT NULL DEFAULT 0,
    "listed_at" TIMESTAMPTZ(6) NOT NULL,
    "read_at" TIMESTAMPTZ(6),
    "is_waiting" BOOLEAN NOT NULL DEFAULT true,

    CONSTRAINT "account_users_pkey" PRIMARY KEY ("grant_id","zoom_user_id")
);

-- CreateTable
CREATE TABLE "unannounced_meetings" (
    "zoom_app_id" UUID NOT NULL,
    "meeting_id" TEXT NOT NULL,
    "found_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "unannounced_meetings_pkey" PRIMARY KEY ("zoom_app_id","meeting_id")
);

-- CreateIndex
CREATE INDEX "account_users_grant_id_is_waiting_read_at_idx" ON "account_users"("grant_id", "is_waiting", "read_at");

-- CreateIndex
CREATE INDEX "unannounced_meetings_found_at_idx" ON "unannounced_meetings"("found_at");

-- AddForeignKey
ALTER TABLE "account_users" ADD CONSTRAINT "account_users_grant_id_fkey" FOREIGN KEY ("grant_id") REFERENCES "grants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "unannounced_meetings" ADD CONSTRAINT "unannounced_meetings_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE CASCADE ON UPDATE CASCADE;

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
