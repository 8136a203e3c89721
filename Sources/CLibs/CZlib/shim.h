// zlib, with its function-like macros as functions, since Swift imports no macros of that kind.
#pragma once
#include <zlib.h>

// RFC 1952's wrapping, by adding 16 to the logarithm of the window's size.
static inline int storeplane_gzip_inflate_init(z_stream *stream) {
  return inflateInit2(stream, MAX_WBITS + 16);
}

static inline int storeplane_gzip_deflate_init(z_stream *stream) {
  return deflateInit2(
      stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
}
