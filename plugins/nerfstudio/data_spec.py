"""What nerfstudio's entry point `nerfstudio.dataparser_configs` loads.

Apart from the method's, since nerfstudio imports its dataparsers before what methods are made of.
"""

from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from clay4d.plugins.nerfstudio.data import Clay4dDataParserConfig

dataparser = DataParserSpecification(
    config=Clay4dDataParserConfig(),
    description="Posed pictures with times, in any of clay4d's layouts",
)
