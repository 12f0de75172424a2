-- DropIndex
DROP INDEX "zoom_events_processed_at_received_at_idx";

-- AlterTable
ALTER TABLE "zoom_events" ADD COLUMN     "is_urgent" BOOLEAN NOT NULL DEFAULT false;

-- CreateIndex
CREATE INDEX "zoom_events_processed_at_is_urgent_received_at_idx" ON "zoom_events"("processed_at", "is_urgent" DESC, "received_at");
