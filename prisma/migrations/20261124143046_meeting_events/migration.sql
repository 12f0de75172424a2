-- AlterTable
ALTER TABLE "meetings" ADD COLUMN     "replaced" JSONB;

-- CreateTable
CREATE TABLE "meeting_event_marks" (
    "zoom_app_id" UUID NOT NULL,
    "meeting_id" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "said" TEXT NOT NULL,

    CONSTRAINT "meeting_event_marks_pkey" PRIMARY KEY ("zoom_app_id","meeting_id")
);

-- CreateIndex
CREATE INDEX "meeting_event_marks_at_idx" ON "meeting_event_marks"("at");

-- CreateIndex
CREATE INDEX "meetings_meeting_id_idx" ON "meetings"("meeting_id");

-- AddForeignKey
ALTER TABLE "meeting_event_marks" ADD CONSTRAINT "meeting_event_marks_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE CASCADE ON UPDATE CASCADE;
