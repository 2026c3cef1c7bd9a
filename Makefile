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
	src/install.sql \
