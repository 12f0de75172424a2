-- AlterTable
ALTER TABLE "zoom_apps" ADD COLUMN     "events_missed_at" TIMESTAMPTZ(6);

