"""The name under which the SDK 1.0.x looks for the log handler."""
from greengrass_common.common_log_appender import LocalwatchLogHandler, local_cloudwatch_handler

LocalCloudwatchLogHandler = LocalwatchLogHandler

__all__ = ['LocalCloudwatchLogHandler', 'local_cloudwatch_handler']
