/** Registers <pixstore-image>. Who wants another tag imports element.js instead and calls its `define`. */
import { PixstoreImageElement } from './element.js'

PixstoreImageElement.define()
