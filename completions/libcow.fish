# SPDX-License-Identifier: LGPL-2.1-or-later
# fish completion of the four tools: asks the tool itself for its options.

for tool in snapcreate snapcheck snapmerge snapdump
	command -q $tool; or continue
	for line in ($tool --long-options 2>/dev/null)
		set -l name (string replace -r '^--([a-z-]+).*' '$1' -- $line)
		set -l argument (string replace -r '^[^=]*=?' '' -- $line)
		if string match -q '*|*' -- $argument
			complete -c $tool -l $name -x -a (string replace -a '|' ' ' -- $argument)
		else if string match -q '*[=*' -- $line; or test -z "$argument"
			complete -c $tool -l $name
		else
			complete -c $tool -l $name -r -F
		end
	end
end
