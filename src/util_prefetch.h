/*
 * util_prefetch.h
 *		Asking for memory before it is needed.
 */
#ifndef FLOWLENS_UTIL_PREFETCH_H
#define FLOWLENS_UTIL_PREFETCH_H

/* Asks for memory that is about to be read */
static inline void
prefetch_to_read(const void *address)
{
#if defined(__GNUC__) || defined(__clang__)
	__builtin_prefetch(address, 0);
#endif
}

#endif							/* FLOWLENS_UTIL_PREFETCH_H */
