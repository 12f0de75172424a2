-- CreateIndex
CREATE INDEX "meetings_observed_at_idx" ON "meetings"("observed_at");
