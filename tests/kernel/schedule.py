# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Which story a case number tells."""
from devices import count_flushes, dropped_writes, on_devices
from scripts import (kernel_to_us, relay_on, relay_three, relay_to_kernel, relay_to_us,
                     size_rule, us_to_kernel)

SCHEDULE = (kernel_to_us, us_to_kernel, kernel_to_us, size_rule, on_devices,
            kernel_to_us, us_to_kernel, relay_to_kernel, relay_to_us, dropped_writes,
            kernel_to_us, us_to_kernel, kernel_to_us, size_rule, count_flushes,
            kernel_to_us, us_to_kernel, relay_to_kernel, relay_three, relay_on)
