-- Generates GitHub-shaped answers: the 81 keys of a repository of the REST API with owner, license and permissions,
-- about 5.5 KB of JSON each. Of every 200 answers five break a rule, each another one.

CREATE FUNCTION bench.github_id(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 1000 + n * 37;

CREATE FUNCTION bench.full_name(n bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 'team-' || n % 9973 || '/part-' || n;

-- A hundred languages, ten of which have four fifths of the repositories
CREATE FUNCTION bench.language(n bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
    WHEN n % 10 < 8 THEN (ARRAY['Python', 'TypeScript', 'JavaScript', 'Go', 'Rust', 'Java', 'C++', 'C', 'C#', 'PHP'])[1 + n / 10 % 10]
    ELSE 'Language ' || 10 + n / 10 % 90
END;

-- What all answers have in common; {full_name}, {owner} and {name} stand in its strings
CREATE FUNCTION bench.document_template() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (jsonb_build_object(
            'node_id', 'R_kgDOHabcdef', 'name', '{name}', 'full_name', '{full_name}', 'private', false,
            'owner', (
                SELECT jsonb_object_agg(p.part || '_url', 'https://api.github.com/users/{owner}/' || p.part)
                FROM unnest(ARRAY['followers', 'following', 'gists', 'starred', 'subscriptions', 'organizations', 'repos',
                                  'events', 'received_events']) p (part)
            ) || jsonb_build_object(
                'login', '{owner}', 'id', 1234567, 'node_id', 'MDEyOk9yZ2FuaXphdGlvbjEyMzQ1Njc=', 'gravatar_id', '',
                'avatar_url', 'https://avatars.githubusercontent.com/u/1234567?v=4', 'url', 'https://api.github.com/users/{owner}',
                'html_url', 'https://github.com/{owner}', 'type', 'Organization', 'user_view_type', 'public', 'site_admin', false,
                'name', NULL),
            'html_url', 'https://github.com/{full_name}', 'fork', false, 'url', 'https://api.github.com/repos/{full_name}',
            'git_url', 'git://github.com/{full_name}.git', 'ssh_url', 'git@github.com:{full_name}.git',
            'clone_url', 'https://github.com/{full_name}.git', 'svn_url', 'https://github.com/{full_name}',
            'homepage', 'https://{name}.example.org', 'size', 4711, 'has_issues', true, 'has_projects', true,
            'has_downloads', true, 'has_wiki', true, 'has_pages', false, 'has_discussions', false, 'mirror_url', NULL,
            'archived', false, 'disabled', false, 'allow_forking', true, 'is_template', false)
        || jsonb_build_object(
            'license', '{"key": "apache-2.0", "name": "Apache License 2.0", "spdx_id": "Apache-2.0",
                         "url": "https://api.github.com/licenses/apache-2.0", "node_id": "MDc6TGljZW5zZTI="}'::jsonb,
            'permissions', '{"admin": false, "maintain": false, "push": false, "triage": false, "pull": true}'::jsonb,
            'topics', '["database", "analytics", "{name}", "postgresql"]'::jsonb,
            'web_commit_signoff_required', false, 'visibility', 'public', 'default_branch', 'main', 'score', 1.0)
        || (
            SELECT jsonb_object_agg(u.name || '_url', 'https://api.github.com/repos/{full_name}/' || u.path)
            FROM (VALUES
                ('forks', 'forks'), ('keys', 'keys{/key_id}'), ('collaborators', 'collaborators{/collaborator}'), ('teams', 'teams'),
                ('hooks', 'hooks'), ('issue_events', 'issues/events{/number}'), ('events', 'events'), ('assignees', 'assignees{/user}'),
                ('branches', 'branches{/branch}'), ('tags', 'tags'), ('blobs', 'git/blobs{/sha}'), ('git_tags', 'git/tags{/sha}'),
                ('git_refs', 'git/refs{/sha}'), ('trees', 'git/trees{/sha}'), ('statuses', 'statuses/{sha}'), ('languages', 'languages'),
                ('stargazers', 'stargazers'), ('contributors', 'contributors'), ('subscribers', 'subscribers'),
                ('subscription', 'subscription'), ('commits', 'commits{/sha}'), ('git_commits', 'git/commits{/sha}'),
                ('comments', 'comments{/number}'), ('issue_comment', 'issues/comments{/number}'), ('contents', 'contents/{+path}'),
                ('compare', 'compare/{base}...{head}'), ('merges', 'merges'), ('archive', '{archive_format}{/ref}'),
                ('downloads', 'downloads'), ('issues', 'issues{/number}'), ('pulls', 'pulls{/number}'),
                ('milestones', 'milestones{/number}'), ('notifications', 'notifications{?since,all,participating}'),
                ('labels', 'labels{/name}'), ('releases', 'releases{/id}'), ('deployments', 'deployments')) u (name, path)))::text;
END;

-- The answer about repository n; n % 200 decides which rule it breaks, if any
CREATE FUNCTION bench.document(n bigint, template text) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT replace(replace(replace(template, '{full_name}', bench.full_name(n)), '{owner}', 'team-' || n % 9973),
                   '{name}', 'part-' || n)::jsonb
        || jsonb_build_object(
            'id', bench.github_id(n), 'description', 'Components for analytical workloads, part ' || n,
            'language', bench.language(n), 'stargazers_count', n * 7 % 50000, 'watchers_count', n * 7 % 50000, 'watchers', n * 7 % 50000,
            'forks_count', n % 900, 'forks', n % 900, 'open_issues_count', n % 70, 'open_issues', n % 70,
            'created_at', '20' || 10 + n % 14 || '-03-1' || n % 10 || 'T09:30:00Z',
            'updated_at', '2025-03-01T05:10:' || 10 + n % 50 || 'Z', 'pushed_at', '2025-02-' || 10 + n % 18 || 'T21:00:00Z')
        || CASE n % 200
            WHEN 11 THEN '{"full_name": "no-owner"}'
            WHEN 51 THEN '{"updated_at": "2025-13-45T00:00:00Z"}'
            WHEN 91 THEN '{"language": null}'
            WHEN 131 THEN '{"stargazers_count": -4}'
            WHEN 171 THEN '{"stargazers_count": "many"}'
            ELSE '{}'
        END::jsonb;
END;
