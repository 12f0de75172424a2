-- CreateIndex
CREATE INDEX "passes_tenant_id_join_at_idx" ON "passes"("tenant_id", "join_at");
