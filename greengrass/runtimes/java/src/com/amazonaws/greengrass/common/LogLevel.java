package com.amazonaws.greengrass.common;

/** Levels of the function's log. */
public enum LogLevel {
    NOTSET, TRACE, DEBUG, INFO, WARN, ERROR, FATAL
}
