#include "nexcage/base/error.h"
