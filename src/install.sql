-- install ---------------------------------------------------------------------
CREATE FUNCTION flowlens.schema_files(OUT "position" integer, OUT file_name text, OUT ddl text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'flowlens_schema_files' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.schema_files() IS
'The DDL files that install() runs, in order: the text of database/schema/*.sql of this version.';

