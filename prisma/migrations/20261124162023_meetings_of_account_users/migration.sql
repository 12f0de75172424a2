-- AlterTable
ALTER TABLE "meetings" ADD COLUMN     "zoom_user_id" TEXT;

-- CreateIndex
CREATE INDEX "meetings_tenant_id_zoom_user_id_idx" ON "meetings"("tenant_id", "zoom_user_id");
