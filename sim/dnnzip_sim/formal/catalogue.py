"""Everything that is proved: of the decompressor, then of the array."""

from dnnzip_sim.formal import array_properties, properties

PROPERTIES = properties.DECOMPRESSOR_PROPERTIES + array_properties.ARRAY_PROPERTIES
