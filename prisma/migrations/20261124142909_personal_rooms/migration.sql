-- AlterTable
ALTER TABLE "grants" ADD COLUMN     "personal_link_host" TEXT,
ADD COLUMN     "personal_link_name" TEXT,
ADD COLUMN     "pmi" TEXT;

-- CreateIndex
CREATE INDEX "grants_personal_link_name_idx" ON "grants"("personal_link_name");

-- A number is text of the form that paths to Zoom are built from; a link has both of its parts or none.
ALTER TABLE "grants" ADD CONSTRAINT "grants_pmi_check" CHECK ("pmi" ~ '^[0-9]{9,12}$');
ALTER TABLE "grants" ADD CONSTRAINT "grants_personal_link_check" CHECK (num_nonnulls("personal_link_host", "personal_link_name") IN (0, 2));
