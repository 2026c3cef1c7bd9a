/*
 * util_prefetch.h
 *		Asking for memory before it is needed.
 *
 * Macros, because gcc may take a function that does nothing else for one
 * without effect.
 */
#ifndef FLOWLENS_UTIL_PREFETCH_H
#define FLOWLENS_UTIL_PREFETCH_H

/* A memory cache answers in units of this size */
#define MEMORY_LINE 64

/* Ask for memory that will be read or written soon */
#if defined(__GNUC__) || defined(__clang__)
#define prefetch_to_read(address)	__builtin_prefetch(address, 0)
#define prefetch_to_write(address)	__builtin_prefetch(address, 1)
#else
#define prefetch_to_read(address)	((void) (address))
#define prefetch_to_write(address)	((void) (address))
#endif

#endif							/* FLOWLENS_UTIL_PREFETCH_H */
