# flowlens_trender: build, install and test with PGXS
EXTENSION   = flowlens_trender
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)
MODULE_big  = $(EXTENSION)
OBJS        = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
DATA        = $(wildcard upgrades/*--*--*.sql)
DATA_built  = $(EXTENSION)--$(EXTVERSION).sql

# The install script is these parts in this order: a part may use what stands above it.
SQL_PARTS = src/flowlens_trender.sql \
	src/util_lock.sql \
	src/sharding.sql \
	src/install.sql \
	src/partitions.sql \
	src/json_schema.sql \
	src/github_repo.sql \
	src/raw_layer.sql \
	src/staging.sql \
	src/staging_sharded.sql \
	src/momentum.sql \
	src/momentum_backtest.sql \
	src/scd2.sql \
	src/render_ecosystem.sql \
	src/dimensions.sql \
	src/snapshots.sql \
	src/workflow_trace.sql \
	src/pipeline.sql \
	src/retention.sql \
	src/work_queue.sql \
	src/webhook.sql \
	src/pull_request.sql \
	src/risk.sql \
	src/schedule.sql \
	src/access.sql \
	src/privileges.sql

# One small file per topic and behaviour; "install" comes first and leaves the extension and its tables.
REGRESS  = install privileges
REGRESS += partitions github_repo raw_layer staging staging_rules staging_readmes render_ecosystem dimensions
REGRESS += retention retention_late retention_batches
REGRESS += snapshots snapshots_paths snapshots_models snapshots_merge activity pipeline workflow_trace views
REGRESS += health schedule access
REGRESS += momentum momentum_random momentum_scores momentum_state momentum_backtest
REGRESS += work_queue work_queue_writers webhook_setup webhook webhook_order risk delivery
REGRESS += scd2_merge scd2_errors scd2_late scd2_deletes scd2_columns scd2_tables scd2_versioning scd2_foreign scd2_property \
	scd2_hostile
REGRESS += json_schema_types json_schema_values json_schema_objects json_schema_arrays json_schema_applicators \
	json_schema_references json_schema_dynamic json_schema_unevaluated json_schema_drafts json_schema_compile \
	json_schema_errors json_schema_functions json_schema_hostile json_schema_formats json_schema_patterns
REGRESS += hostile_names
REGRESS_OPTS = --load-extension=plpgsql

ISOLATION = $(sort $(patsubst specs/%.spec,%,$(wildcard specs/*.spec)))
ISOLATION_OPTS = --load-extension=plpgsql

PG_CPPFLAGS = -DFLOWLENS_VERSION='"$(EXTVERSION)"'
PG_CFLAGS   = -Wextra -Wno-unused-parameter
EXTRA_CLEAN = $(DATA_built) src/schema_files.h results tmp_check output_iso log

# Builds for tests only: bin/test --sanitize and bin/test --coverage make them. In both the hash table of scd2_merge()
# knows two bits of a key beside its place, so that keys collide all the time.
ifdef SANITIZE
override with_llvm = no
PG_CFLAGS += -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -DSCD2_TAG_BITS=2
SHLIB_LINK += -fsanitize=$(SANITIZE)
endif
ifdef COVERAGE
override with_llvm = no
PG_CFLAGS += -O0 --coverage -DSCD2_TAG_BITS=2
SHLIB_LINK += --coverage
endif

PG_CONFIG ?= pg_config
PGXS      := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Only the functions that SQL names leave the library; servers before 16 do not mark them by themselves.
override CPPFLAGS += '-DPGDLLEXPORT=__attribute__((visibility("default")))'
override CFLAGS += -fvisibility=hidden
ifdef COVERAGE
override CPPFLAGS += -U_FORTIFY_SOURCE
endif

$(DATA_built): $(SQL_PARTS) $(EXTENSION).control
	cat $(SQL_PARTS) > $@

# The library carries database/schema/*.sql, so that install() needs no file beside it.
SCHEMA_FILES = $(sort $(wildcard database/schema/*.sql))

src/schema_files.h: $(SCHEMA_FILES) Makefile
	@echo "generating $@ from database/schema"
	@for file in $(SCHEMA_FILES); do \
		printf '{"%s",\n' "$$(basename $$file)"; \
		sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' "$$file"; \
		printf '},\n'; \
	done > $@

src/install.o src/install.bc: src/schema_files.h
$(OBJS): $(filter-out src/schema_files.h,$(wildcard src/*.h))

# Keeps the install script and the tables of a version at its release: upgrades begin from them in t/085_upgrade.pl.
FROZEN = upgrades/frozen

.PHONY: freeze
freeze: $(DATA_built)
	@test ! -e $(FROZEN)/$(DATA_built) || { echo "version $(EXTVERSION) is frozen already" >&2; exit 1; }
	mkdir -p $(FROZEN)
	cp $(DATA_built) $(FROZEN)/
	cat $(SCHEMA_FILES) > $(FROZEN)/schema--$(EXTVERSION).sql

# The official JSON-Schema-Test-Suite through a Python script outside this tree, against the server of the PG* variables:
# make conformance SUITE=directory of the suite RUNNER=path of the runner
CONFORMANCE_DATABASE = flowlens_conformance

.PHONY: conformance
conformance:
	@if [ ! -d "$(SUITE)/tests" ]; then echo "conformance: skipped, SUITE is not a copy of JSON-Schema-Test-Suite"; \
	elif [ ! -f "$(RUNNER)" ]; then echo "conformance: skipped, RUNNER is not a script"; \
	else \
		"$(bindir)/dropdb" --if-exists $(CONFORMANCE_DATABASE) 2>/dev/null; \
		"$(bindir)/createdb" -T template0 -E UTF8 --locale=C $(CONFORMANCE_DATABASE) && \
		"$(bindir)/psql" -X -q -d $(CONFORMANCE_DATABASE) -c 'CREATE EXTENSION flowlens_trender' && \
		python3 "$(RUNNER)" --suite "$(SUITE)" --psql "$(bindir)/psql" --host "$${PGHOST:-/tmp}" --port "$${PGPORT:-5432}" \
			--user "$${PGUSER:-postgres}" --db $(CONFORMANCE_DATABASE) --with-remotes --recheck \
			--expr 'flowlens.jsonb_matches_schema(flowlens.jsonschema_compile({schema}, (SELECT m FROM jss_remote_map)), {instance})'; \
		status=$$?; "$(bindir)/dropdb" $(CONFORMANCE_DATABASE); exit $$status; \
	fi

# All tests with memory and undefined behaviour checked; all tests with executed lines counted
.PHONY: sanitize coverage
sanitize coverage:
	bin/test --$@

# Static analysis with the checks of .clang-tidy, and with cppcheck
.PHONY: lint
lint: src/schema_files.h
	@if command -v clang-tidy >/dev/null; then \
		clang-tidy --quiet $(sort $(wildcard src/*.c)) -- -std=gnu99 $(CPPFLAGS) -fvisibility=hidden 2>/dev/null; \
	else echo "lint: clang-tidy is not installed, skipped"; fi
	@if command -v cppcheck >/dev/null; then \
		cppcheck --quiet --std=c99 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
			--suppressions-list=.cppcheck_suppressions -D__GNUC__ -DPG_VERSION_NUM=150000 -Isrc $(sort $(wildcard src/*.c)); \
	else echo "lint: cppcheck is not installed, skipped"; fi
