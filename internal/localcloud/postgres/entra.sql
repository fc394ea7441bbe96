-- Run once in database postgres by the superuser. The functions have the names
-- and shapes that Azure publishes; the mapping lives in a table here because an
-- unmodified server has no provider for the security label Azure uses.

CREATE SCHEMA pgaadauth;
REVOKE ALL ON SCHEMA pgaadauth FROM PUBLIC;
-- A dependent privilege keeps the two groups from being dropped.
GRANT USAGE ON SCHEMA pgaadauth TO azure_ad_user, azure_pg_admin;

CREATE TABLE pgaadauth.setting (tenantid text NOT NULL);
INSERT INTO pgaadauth.setting VALUES ('');

-- Keyed by the role's oid: a rename keeps the row, a drop orphans it.
CREATE TABLE pgaadauth.principal (
    roleid     oid PRIMARY KEY,
    objectid   text NOT NULL,
    objecttype text NOT NULL,
    tenantid   text NOT NULL,
    isadmin    boolean NOT NULL,
    ismfa      boolean NOT NULL
);

CREATE FUNCTION pgaadauth.require_admin() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    IF session_user = 'azuresu' THEN
        RETURN;
    END IF;
    PERFORM 1 FROM pgaadauth.principal p JOIN pg_authid a ON a.oid = p.roleid
        WHERE a.rolname = session_user AND p.isadmin;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only a Microsoft Entra administrator may manage Microsoft Entra principals'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $body$;

CREATE FUNCTION pgaadauth.check_arguments(objectid text, objecttype text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    IF $2 IS NULL OR lower($2) NOT IN ('user', 'group', 'service') THEN
        RAISE EXCEPTION 'object type must be user, group or service' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF $1 IS NULL OR $1 !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
        RAISE EXCEPTION 'object id must be a GUID' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $body$;

CREATE FUNCTION pgaadauth.bind(rolename name, objectid text, objecttype text, isadmin boolean, ismfa boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    role pg_authid;
    was_admin boolean;
BEGIN
    SELECT * INTO role FROM pg_authid a WHERE a.rolname = $1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role "%" does not exist', $1 USING ERRCODE = 'undefined_object';
    END IF;
    IF role.rolsuper OR role.rolname ~ '^(pg_|azure_)' OR NOT role.rolcanlogin THEN
        RAISE EXCEPTION 'role "%" cannot be mapped to a Microsoft Entra principal', $1 USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT p.isadmin INTO was_admin FROM pgaadauth.principal p WHERE p.roleid = role.oid;
    INSERT INTO pgaadauth.principal AS p
        SELECT role.oid, lower($2), lower($3), s.tenantid, coalesce($4, false), coalesce($5, false) FROM pgaadauth.setting s
        ON CONFLICT (roleid) DO UPDATE SET objectid = excluded.objectid, objecttype = excluded.objecttype,
            tenantid = excluded.tenantid, isadmin = excluded.isadmin, ismfa = excluded.ismfa;
    EXECUTE format('GRANT azure_ad_user TO %I', $1);
    IF coalesce($4, false) THEN
        EXECUTE format('ALTER ROLE %I CREATEROLE CREATEDB', $1);
        EXECUTE format('GRANT azure_pg_admin TO %I WITH ADMIN OPTION', $1);
    ELSIF was_admin THEN
        EXECUTE format('ALTER ROLE %I NOCREATEROLE NOCREATEDB', $1);
        EXECUTE format('REVOKE azure_pg_admin FROM %I', $1);
    END IF;
    -- From 16 on CREATEROLE reaches only roles one has the admin option for.
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE format('GRANT %I TO azure_pg_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', $1);
    END IF;
END $body$;

CREATE FUNCTION pg_catalog.pgaadauth_create_principal_with_oid(rolename text, objectid text, objecttype text, isadmin boolean, ismfa boolean)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    PERFORM pgaadauth.require_admin();
    PERFORM pgaadauth.check_arguments($2, $3);
    DELETE FROM pgaadauth.principal p WHERE NOT EXISTS (SELECT FROM pg_authid a WHERE a.oid = p.roleid);
    EXECUTE format('CREATE ROLE %I LOGIN', $1);
    PERFORM pgaadauth.bind($1::name, $2, $3, $4, $5);
    RETURN format('Created role for %I', $1);
END $body$;

CREATE FUNCTION pg_catalog.pgaadauth_update_principal_with_oid(rolename text, objectid text, objecttype text, isadmin boolean, ismfa boolean)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    PERFORM pgaadauth.require_admin();
    PERFORM pgaadauth.check_arguments($2, $3);
    PERFORM pgaadauth.bind($1::name, $2, $3, $4, $5);
    RETURN format('Updated role for %I', $1);
END $body$;

CREATE FUNCTION pg_catalog.pgaadauth_list_principals(isadminvalue boolean)
RETURNS TABLE(rolname name, principaltype text, objectid text, tenantid text, ismfa integer, isadmin integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    PERFORM pgaadauth.require_admin();
    RETURN QUERY SELECT a.rolname, p.objecttype, p.objectid, p.tenantid, p.ismfa::integer, p.isadmin::integer
        FROM pgaadauth.principal p JOIN pg_authid a ON a.oid = p.roleid
        WHERE p.isadmin OR NOT coalesce($1, false) ORDER BY a.rolname;
END $body$;
