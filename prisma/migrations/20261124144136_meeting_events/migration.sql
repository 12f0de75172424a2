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

-- CreateTable
CREATE TABLE "meeting_deletions" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "meeting_id" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "meeting_deletions_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "meeting_event_marks_at_idx" ON "meeting_event_marks"("at");

-- CreateIndex
CREATE INDEX "meeting_deletions_at_idx" ON "meeting_deletions"("at");

-- CreateIndex
CREATE UNIQUE INDEX "meeting_deletions_tenant_id_id_key" ON "meeting_deletions"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "meeting_deletions_tenant_id_meeting_id_key" ON "meeting_deletions"("tenant_id", "meeting_id");

-- CreateIndex
CREATE INDEX "meetings_meeting_id_idx" ON "meetings"("meeting_id");

-- AddForeignKey
ALTER TABLE "meeting_event_marks" ADD CONSTRAINT "meeting_event_marks_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "meeting_deletions" ADD CONSTRAINT "meeting_deletions_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;
