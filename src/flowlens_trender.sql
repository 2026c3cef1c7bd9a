-- flowlens_trender: GitHub analytics inside PostgreSQL
-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION flowlens_trender" to load this file. \quit

