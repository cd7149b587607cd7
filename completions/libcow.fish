# SPDX-License-Identifier: LGPL-2.1-or-later
# fish completion of the four tools: asks the tool itself for its options
# (--long-options: name, short name, offer, once or many, help). Installed under
# each tool's name, it speaks for that tool alone.

function __libcow_paths
	set -l last (commandline -ct | string replace -r '.*[,=]' '')
	__fish_append , (complete -C "'' $last" | string replace -r '\t.*' '')
end

set -l tools (status basename | string replace .fish '')
contains -- $tools snapcreate snapcheck snapmerge snapdump
or set tools snapcreate snapcheck snapmerge snapdump

for tool in $tools
	command -q $tool; or continue
	for line in ($tool --long-options 2>/dev/null)
		set -l columns (string split \t -- $line)
		set -l words (string replace -r '^[a-z]* ?' '' -- $columns[3] | string replace -a '|' ' ')
		set -l rule -c $tool -l (string replace -r '^--([a-z-]+).*' '$1' -- $columns[1]) -d $columns[5]
		string match -q -- '-?' $columns[2]; and set -a rule -s (string sub -s 2 -- $columns[2])
		string match -q -- '*[=*' $columns[1]; or test $columns[3] = none; or set -a rule -r
		switch $columns[3]
			case none
				complete $rule
			case file
				complete $rule -F
			case files
				complete $rule -f -a '(__libcow_paths)'
			case 'words *'
				# Where the argument may be left out an image may follow.
				string match -q -- '*[=*' $columns[1]; or set -a rule -f
				complete $rule -a $words
			case 'list *'
				complete $rule -f -a "(__fish_append , $words)"
			case '*'
				complete $rule -f
		end
	end
end
