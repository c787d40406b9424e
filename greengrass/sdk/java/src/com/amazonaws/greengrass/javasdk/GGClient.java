package com.amazonaws.greengrass.javasdk;

/** Any client of the core. */
abstract class GGClient {}
