-- AlterTable
ALTER TABLE "zoom_apps" ADD COLUMN     "webhook_validated_at" TIMESTAMPTZ(6);

-- CreateTable
CREATE TABLE "zoom_events" (
    "id" UUID NOT NULL,
    "zoom_app_id" UUID NOT NULL,
    "body_hash" BYTEA NOT NULL,
    "payload_ct" BYTEA,
    "received_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "claimed_until" TIMESTAMPTZ(6),
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "processed_at" TIMESTAMPTZ(6),
    "outcome" TEXT,

    CONSTRAINT "zoom_events_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "zoom_events_processed_at_received_at_idx" ON "zoom_events"("processed_at", "received_at");

-- CreateIndex
CREATE UNIQUE INDEX "zoom_events_zoom_app_id_body_hash_key" ON "zoom_events"("zoom_app_id", "body_hash");

-- AddForeignKey
ALTER TABLE "zoom_events" ADD CONSTRAINT "zoom_events_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What stands for a Zoom user of an app once his data was erased: enough to find the same grant when he authorises the app again,
-- and nothing from which a dump could tell who it was. Zoom's user ids are random, so their hash is not to be guessed.
CREATE FUNCTION "erased_zoom_user"("of_app" uuid, "of_user" text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN "of_user" LIKE 'erased:%' THEN "of_user"
              ELSE 'erased:' || encode(sha256(convert_to("of_app"::text || ':' || "of_user", 'UTF8')), 'hex') END
$$;
