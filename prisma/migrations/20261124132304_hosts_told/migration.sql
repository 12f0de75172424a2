-- Nobody is told of what was before there was somebody to tell. Only hosts in trouble are written: the others have the default.
UPDATE "hosts" h SET "told_status" = s."status", "told_reason" = s."status_reason" FROM "host_states" s
 WHERE s."id" = h."id" AND (h."told_status", h."told_reason") IS DISTINCT FROM (s."status", s."status_reason");
