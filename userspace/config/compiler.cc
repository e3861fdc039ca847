#include "config/compiler.h"
