-- What an organization's admin showed us of this user's meetings becomes the user's own as he connects, in the transaction that
-- links him: from then on OBF and ZAK have somebody to ask. In the order of the numbers, as everything that writes several mappings.
CREATE FUNCTION "adopt_meetings"(h "hosts") RETURNS void LANGUAGE sql AS $$
  UPDATE "meetings" m
     SET "external_user_id" = h."external_user_id", "organization_id" = NULL, "zoom_user_id" = NULL, "updated_at" = now(),
         "replaced" = jsonb_build_object('source', m."source", 'host_id', NULL, 'organization_id', m."organization_id",
                                         'observed_at', m."observed_at")
    FROM (SELECT f."id"
            FROM "grants" g
            JOIN "grant_tokens" k ON k."grant_id" = g."id" AND k."consent_epoch" <= h."consent_epoch"
            JOIN "meetings" f ON f."tenant_id" = h."tenant_id" AND f."zoom_user_id" = g."zoom_user_id"
           WHERE g."id" = h."grant_id" AND f."organization_id" IS NOT NULL AND f."source" <> 'api'
           ORDER BY f."meeting_id" FOR UPDATE OF f) found
   WHERE m."id" = found."id"
$$;
CREATE FUNCTION "adopt_meetings_of_host"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM "adopt_meetings"(NEW);
  RETURN NULL;
END $$;
CREATE TRIGGER "hosts_adopt" AFTER INSERT ON "hosts" FOR EACH ROW EXECUTE FUNCTION "adopt_meetings_of_host"();
CREATE TRIGGER "hosts_adopt_again" AFTER UPDATE OF "grant_id", "consent_epoch" ON "hosts" FOR EACH ROW
  EXECUTE FUNCTION "adopt_meetings_of_host"();
