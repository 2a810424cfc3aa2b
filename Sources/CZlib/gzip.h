// zlib's decompression of gzip files, for Swift.
#pragma once
#include <zlib.h>
