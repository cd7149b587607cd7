#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How many blocks all devices map together, by what thin_dump prints."""
import re
import sys

text = sys.stdin.read()
print(len(re.findall("<single_mapping ", text)) +
      sum(int(n) for n in re.findall(r'<range_mapping [^>]*length="(\d+)"', text)))
