-- CreateTable
CREATE TABLE "grant_syncs" (
    "grant_id" UUID NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'queued',
    "due_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "requested_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(6),
    "finished_at" TIMESTAMPTZ(6),
    "meetings" INTEGER NOT NULL DEFAULT 0,
    "code" TEXT,

    CONSTRAINT "grant_syncs_pkey" PRIMARY KEY ("grant_id")
);

-- CreateTable
CREATE TABLE "account_syncs" (
    "account_key" TEXT NOT NULL,
    "grant_id" UUID NOT NULL,
    "held_until" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "account_syncs_pkey" PRIMARY KEY ("account_key")
);

-- CreateIndex
CREATE INDEX "grant_syncs_due_at_idx" ON "grant_syncs"("due_at");

-- AddForeignKey
ALTER TABLE "grant_syncs" ADD CONSTRAINT "grant_syncs_grant_id_fkey" FOREIGN KEY ("grant_id") REFERENCES "grants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Below: what Prisma's schema language cannot say.

ALTER TABLE "grant_syncs" ADD CONSTRAINT "grant_syncs_status_check" CHECK ("status" IN ('queued', 'running', 'done', 'failed'));

-- A grant's meetings are read as soon as it is linked, whichever way that came about, in the transaction that links it. By the
-- clock and not by the transaction's start: a sync that has begun since did not see this host.
CREATE FUNCTION "file_grant_sync"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "grant_syncs" AS s ("grant_id", "due_at", "requested_at") VALUES (NEW."grant_id", clock_timestamp(), clock_timestamp())
  ON CONFLICT ("grant_id") DO UPDATE
     SET "due_at" = excluded."due_at", "requested_at" = excluded."requested_at",
         "status" = CASE s."status" WHEN 'running' THEN 'running' ELSE 'queued' END;
  RETURN NULL;
END $$;
