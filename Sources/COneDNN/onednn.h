// oneDNN's C API for Swift.
#pragma once
#include <dnnl.h>
