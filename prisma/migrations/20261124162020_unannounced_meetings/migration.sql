-- CreateTable
CREATE TABLE "unannounced_meetings" (
    "zoom_app_id" UUID NOT NULL,
    "meeting_id" TEXT NOT NULL,
    "found_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "unannounced_meetings_pkey" PRIMARY KEY ("zoom_app_id","meeting_id")
);

-- CreateIndex
CREATE INDEX "unannounced_meetings_found_at_idx" ON "unannounced_meetings"("found_at");

-- AddForeignKey
ALTER TABLE "unannounced_meetings" ADD CONSTRAINT "unannounced_meetings_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE CASCADE ON UPDATE CASCADE;
