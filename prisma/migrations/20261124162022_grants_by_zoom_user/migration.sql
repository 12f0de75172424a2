-- CreateIndex
CREATE INDEX "grants_zoom_user_id_idx" ON "grants"("zoom_user_id");
