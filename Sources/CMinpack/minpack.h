// MINPACK's least squares in C, for Swift.
#pragma once
#include <cminpack.h>
