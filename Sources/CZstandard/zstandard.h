// libzstd's decompression of Zstandard files, for Swift.
#pragma once
#include <zstd.h>
