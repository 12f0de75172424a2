-- Latchkey's database and its three roles, none of them a superuser. For psql 14 or later, as a role that may create roles and
-- databases: on a managed Postgres its administrator. Reads LATCHKEY_OWNER_PASSWORD, LATCHKEY_APP_PASSWORD and
-- LATCHKEY_MINT_PASSWORD from the environment. May be run again, to change the passwords for instance.
\set ON_ERROR_STOP on
\getenv owner_password LATCHKEY_OWNER_PASSWORD
\getenv app_password LATCHKEY_APP_PASSWORD
\getenv mint_password LATCHKEY_MINT_PASSWORD

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['latchkey_owner', 'latchkey_app', 'latchkey_mint']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

-- Only a superuser may set this, and only there it matters: a failed statement would put the password into the server's log.
SELECT 'SET log_min_error_statement = panic' WHERE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
\gexec
ALTER ROLE latchkey_owner LOGIN PASSWORD :'owner_password';
ALTER ROLE latchkey_app LOGIN PASSWORD :'app_password';
ALTER ROLE latchkey_mint LOGIN PASSWORD :'mint_password';

-- On the roles, not in the connection URLs: a transaction pooler drops start-up options, but logs in as the role.
-- Statement: past 5 s the outcome counts as unknown and is read again. Idle: the service never waits inside a transaction.
ALTER ROLE latchkey_app SET statement_timeout = '5s';
ALTER ROLE latchkey_app SET lock_timeout = '3s';
ALTER ROLE latchkey_app SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE latchkey_mint SET statement_timeout = '5s';
ALTER ROLE latchkey_mint SET lock_timeout = '3s';
ALTER ROLE latchkey_mint SET idle_in_transaction_session_timeout = '10s';
-- A migration may take long, and the lock that keeps two from running at once sits in a transaction that idles meanwhile.
ALTER ROLE latchkey_owner SET lock_timeout = '60s';
ALTER ROLE latchkey_owner SET idle_in_transaction_session_timeout = '30min';

-- Membership lets an administrator who is no superuser give the database to the owner and act for it below.
GRANT latchkey_owner TO CURRENT_USER;
SELECT 'CREATE DATABASE latchkey OWNER latchkey_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'latchkey')
\gexec

\connect latchkey
SET ROLE latchkey_owner;
REVOKE ALL ON DATABASE latchkey FROM PUBLIC;
GRANT CONNECT ON DATABASE latchkey TO latchkey_app, latchkey_mint;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- What else the two may do (rows of one tenant at a time; functions, and no table) `latchkey migrate` says, since it knows the tables.
