"""Everything that makes the figures of the manual; nothing of dnnzip imports it, and no wheel has it.

One module makes one page or table: ``python -m dnnzip_bench.NAME --help``. They share the frame of their commands
(`command`), the columns of tables (`columns`), the filling of pages (`pages`), the trained networks (`catalogue`) and
the plots (`plots`); what several of them measure with stands in `coders`, `storage`, `array` and `hardware`.
"""
