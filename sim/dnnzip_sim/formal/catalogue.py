"""Everything that is proved: of the decompressor, its words, queues and tables, then of the AXI top and the array."""

from dnnzip_sim.formal import (
    array_properties,
    axi_properties,
    properties,
    queue_properties,
    tables_properties,
    words_properties,
)

PROPERTIES = (
    properties.DECOMPRESSOR_PROPERTIES
    + words_properties.WORDS_PROPERTIES
    + queue_properties.QUEUE_PROPERTIES
    + tables_properties.TABLES_PROPERTIES
    + axi_properties.AXI_PROPERTIES
    + array_properties.ARRAY_PROPERTIES
)
