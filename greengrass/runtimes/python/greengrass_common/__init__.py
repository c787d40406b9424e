"""What Amazon's Greengrass SDKs and functions import from the core. Names and modules are V1's."""
from greengrass_common.function_arn_fields import FunctionArnFields
from greengrass_common.greengrass_message import GreengrassMessage

__all__ = ['FunctionArnFields', 'GreengrassMessage']
